# PostgreSQL 17 from Debian's packages, for machines that reach no registry. It goes by the official image's
# name, so it takes what we use of that image's contract: POSTGRES_USER, POSTGRES_PASSWORD, PGDATA,
# /docker-entrypoint-initdb.d, arguments to the server, SIGINT to stop.
FROM debian:trixie-slim

# Without this the package makes a cluster of its own, which nobody would use.
RUN apt-get update \
 && apt-get install -y --no-install-recommends postgresql-common \
 && sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
 && apt-get install -y --no-install-recommends postgresql-17 \
 && apt-get clean && rm -rf /var/lib/apt/lists/* \
 && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data /var/run/postgresql \
 && install -d /docker-entrypoint-initdb.d

COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
LABEL ensemble.packages=debian
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
