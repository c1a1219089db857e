"""A training loop of PyTorch's, written through `PredictionWriter`; tfmem trains nothing here."""

import sys

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer

import tfmem

TRIALS = 200


def main():
    """Trains networks on random subsets of the tumours, and compares two ways to their estimates.

    The first argument of the program is a folder for the records of trials.
    """
    out = sys.argv[1]
    torch.set_num_threads(1)  # networks are so small that threads only wait for each other
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x[:400].mean(axis=0)) / x[:400].std(axis=0)
    x_train, x_test, y_train, y_test = x[:400], x[400:], y[:400], y[400:]
    masks = np.zeros((TRIALS, len(y_train)), bool)
    right, right_test = np.zeros_like(masks), np.zeros((TRIALS, len(y_test)), bool)
    inputs = [torch.tensor(x, dtype=torch.float32) for x in (x_train, x_test)]
    targets = torch.tensor(y_train)
    with tfmem.PredictionWriter(out, y_train, y_test) as writer:
        for trial in range(TRIALS):
            mask = np.random.default_rng(trial).permutation(len(y_train)) < 0.7 * len(y_train)
            model = _fitted(inputs[0][mask], targets[mask], trial)
            with torch.no_grad():
                logits = [model(x).numpy() for x in inputs]
            masks[trial] = mask
            right[trial] = logits[0].argmax(axis=1) == y_train
            right_test[trial] = logits[1].argmax(axis=1) == y_test
            if trial in writer.missing(TRIALS):
                writer.write(trial, mask, train_logits=logits[0], test_logits=logits[1])
    run = tfmem.estimate(out)
    arrays = tfmem.memorization(masks, right)
    same = np.array_equal(arrays["memorization"], run.memorization["memorization"])
    influence = tfmem.influence(masks, right_test)
    block = run.influence[1]
    part = influence.influence[np.ix_(block.train_index, block.test_index)]
    print(
        f"{TRIALS} trials of PyTorch {torch.__version__}, test {right_test.mean():.4g}; "
        f"memorization of records and of arrays: {'equal' if same else 'different'}; largest "
        f"difference of influence {np.abs(part - block.influence).max():.1e}"
    )
    top = run.memorization["memorization"].nlargest(5)
    print("most memorized: " + ", ".join(f"{k} ({value:.2f})" for k, value in top.items()))


def _fitted(x, y, seed):
    """A network that is trained by AdamW for 20 epochs."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, 2)
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(20):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


if __name__ == "__main__":
    main()
