# The whole compendium, which makes the book. Build and run from the checkout:
#   docker build -f workflow/containers/book.Dockerfile -t rbc-book .
#   docker run --rm -v "$PWD/out:/rbc/_build" rbc-book
#   docker run --rm -v "$PWD/out:/rbc/_build" -v /path/of/the/sample:/sample:ro rbc-book make book PROFILE=released DATA=/sample
FROM python:3.11-slim

RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium git make \
 && rm -rf /var/lib/apt/lists/*

# The packages first: they change seldom, so that another build takes them as they are.
WORKDIR /rbc
COPY Makefile requirements.lock pyproject.toml README.md ./
COPY rbc/__init__.py rbc/
COPY compendium/__init__.py compendium/
COPY setup.py ./
COPY workflow/environment.py workflow/
RUN make .venv/ready

# With .git, so that pages name the commit they were made from.
COPY . .
RUN git config --global --add safe.directory /rbc
CMD ["make", "book"]
