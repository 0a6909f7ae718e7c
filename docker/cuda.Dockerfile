# frugalrl on an NVIDIA GPU: docker build -f docker/cuda.Dockerfile -t frugalrl-cuda .
#   docker run --rm --gpus all -v "$PWD:/work" -v "$HOME/.cache/huggingface:/root/.cache/huggingface" frugalrl-cuda train open-rs2
# The wheel of torch brings CUDA's libraries; the driver is the host's. gcc is for kernels that are compiled at run time.
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/frugalrl
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY src src
COPY recipes recipes
RUN pip install --no-cache-dir -c constraints.txt ".[lora]"
WORKDIR /work
ENTRYPOINT ["frugalrl"]
CMD ["--help"]
