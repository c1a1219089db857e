"""Jobs in a notebook."""

from apache_beam.utils import interactive_utils

from tests.helpers.runs import aggregate, contents, random_run, write_run


def test_a_job_in_a_notebook_is_that_of_a_program(tmp_path, reference, monkeypatch):
    """Beam would import its data frames there, which do not go with every pandas."""
    monkeypatch.setattr(interactive_utils, "is_in_ipython", lambda: True)
    records, labels = random_run()
    write_run(tmp_path, records, labels)
    aggregate(tmp_path)
    assert contents(tmp_path) == reference
