# The Django example, with Debian's Django and psycopg 3. From the root of the tree: docker build -f docker/web.Dockerfile .
ARG DEBIAN=trixie
FROM debian:${DEBIAN}-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3-cryptography \
        python3-django \
        python3-psycopg \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --shell /usr/sbin/nologin web
WORKDIR /app/example
COPY docker/web/prepare docker/web/grants.sql /app/
COPY test/django/django_trustpoint /app/django_trustpoint
COPY test/django/example /app/example
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER web
EXPOSE 8000
# Django's development server: for an example on one machine, and for nothing else.
CMD ["python3", "manage.py", "runserver", "--noreload", "0.0.0.0:8000"]
