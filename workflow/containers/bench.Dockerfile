# The tool for movies of one's own, without the book. Build and run from the checkout:
#   docker build -f workflow/containers/bench.Dockerfile -t rbc-bench .
#   docker run --rm -v "$PWD:/data" rbc-bench analyze movie.avi --um-per-px 0.6 --out report
FROM python:3.11-slim

# torch for processors alone: the one for GPUs is some gigabytes larger.
COPY requirements.lock /tmp/
RUN grep '^torch==' /tmp/requirements.lock > /tmp/torch.txt \
 && pip install --no-cache-dir -r /tmp/torch.txt --index-url https://download.pytorch.org/whl/cpu

COPY pyproject.toml README.md LICENSE /src/
COPY rbc /src/rbc
COPY compendium /src/compendium
RUN pip install --no-cache-dir -c /tmp/requirements.lock '/src[exchange]' && rm -rf /src

# Results belong to whoever runs it, with: docker run --user "$(id -u):$(id -g)"
WORKDIR /data
ENTRYPOINT ["rbc"]
CMD ["--help"]
