# frugalrl on a CPU: docker build -f docker/cpu.Dockerfile -t frugalrl . && docker run --rm -v "$PWD:/work" frugalrl train quickstart
# On x86 the default wheel of torch brings CUDA along; for a small image give PyTorch's CPU index:
#   --build-arg TORCH_INDEX=...   (pip's --index-url for torch alone)
FROM python:3.12-slim
ARG TORCH_INDEX=""
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/frugalrl
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY src src
COPY recipes recipes
RUN pip install --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && pip install --no-cache-dir -c constraints.txt ".[lora]"
WORKDIR /work
ENTRYPOINT ["frugalrl"]
CMD ["--help"]
