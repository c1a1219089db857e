# Images for the workers of a Beam job, built in the root of the checkout.
#
#   docker build -f pipelines/worker.Dockerfile --target estimate -t IMAGE .
#   docker build -f pipelines/worker.Dockerfile --target train -t IMAGE .
#   docker build -f pipelines/worker.Dockerfile --target train -t IMAGE \
#     --build-arg TENSORFLOW='tensorflow[and-cuda]' .                          # with GPUs
#
# PYTHON and BEAM must be those of the machine that starts the job.
ARG PYTHON=3.11
ARG BEAM=2.77.0

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS estimate
WORKDIR /opt/tfmem
COPY constraints.txt pipelines/worker-requirements.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --requirement worker-requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY tfmem tfmem
COPY components components
COPY pipelines pipelines
COPY configs configs
RUN pip install --no-cache-dir --no-deps .
# A worker has one process a core: more threads would only wait for each other.
ENV OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

FROM estimate AS train
ARG TENSORFLOW=tensorflow
RUN pip install --no-cache-dir --constraint constraints.txt "${TENSORFLOW}" '.[gcp]'
