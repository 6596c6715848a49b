/*
 * What a new connection waits for its first answer. Samples go to stdout: name, round and milliseconds, tabs between.
 *
 *   connect first ROUNDS NAME QUERY [NAME QUERY ...]   one connection after another, the queries in turn: the query alone;
 *                                                      and "NAME cpu", the CPU time of the backend for it, of another
 *                                                      connection, as the backend comes to rest before that can be read
 *   connect together COUNT ROUND NAME QUERY            so many at once: from the first connect to the last answer
 *
 * Where to connect libpq finds in the environment. A connection or query that fails ends "first"; "together" counts them.
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* What a process on this machine has computed so far; it is given time to come to rest. */
static double
cpu_milliseconds(int process)
{
	char		path[64];
	double		nanoseconds = 0;
	FILE	   *file;

	usleep(1000);
	snprintf(path, sizeof path, "/proc/%d/schedstat", process);
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%lf", &nanoseconds) != 1)
		perror(path);
	if (file != NULL)
		fclose(file);
	return nanoseconds / 1e6;
}

/*
 * Connects, asks once, closes. The time of the query alone, or -1 when anything failed; into *cpu, unless that is NULL, what the
 * backend has computed for it.
 */
static double
ask_once(const char *query, double *cpu)
{
	PGconn	   *connection = PQconnectdb("");
	double		time = -1;

	if (PQstatus(connection) == CONNECTION_OK)
	{
		double		before = cpu == NULL ? 0 : cpu_milliseconds(PQbackendPID(connection));
		double		start = milliseconds();
		PGresult   *result = PQexec(connection, query);

		if (PQresultStatus(result) == PGRES_TUPLES_OK)
			time = milliseconds() - start;
		PQclear(result);
		if (cpu != NULL)
			*cpu = cpu_milliseconds(PQbackendPID(connection)) - before;
	}
	if (time < 0)
		fputs(PQerrorMessage(connection), stderr);
	PQfinish(connection);
	return time;
}

static int
first(int rounds, int count, char **queries)
{
	for (int round = 0; round <= rounds; round++)
		for (int i = 0; i < count; i += 2)
		{
			double		cpu;
			double		time = ask_once(queries[i + 1], NULL);

			if (time < 0 || ask_once(queries[i + 1], &cpu) < 0)
				return 1;
			if (round > 0)
				printf("%s\t%d\t%f\n%s cpu\t%d\t%f\n", queries[i], round, time, queries[i], round, cpu);
		}
	return 0;
}

static pthread_barrier_t gathered;

static void *
ask_with_others(void *query)
{
	double		time;

	pthread_barrier_wait(&gathered);
	time = ask_once(query, NULL);
	return time < 0 ? query : NULL;
}

static int
together(int count, const char *round, const char *name, char *query)
{
	pthread_t  *threads = calloc(count, sizeof *threads);
	int			failed = 0;
	double		start;

	pthread_barrier_init(&gathered, NULL, count + 1);
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, ask_with_others, query) != 0)
			return 1;
	start = milliseconds();
	pthread_barrier_wait(&gathered);
	for (int i = 0; i < count; i++)
	{
		void	   *failure;

		pthread_join(threads[i], &failure);
		failed += failure != NULL;
	}
	printf("%s\t%s\t%f\n", name, round, milliseconds() - start);
	printf("%s errors\t%s\t%d\n", name, round, failed);
	free(threads);
	return 0;
}

int
main(int count, char **arguments)
{
	if (count >= 5 && count % 2 == 1 && strcmp(arguments[1], "first") == 0)
		return first(atoi(arguments[2]), count - 3, arguments + 3);
	if (count == 6 && strcmp(arguments[1], "together") == 0)
		return together(atoi(arguments[2]), arguments[3], arguments[4], arguments[5]);
	fputs("usage: connect first ROUNDS NAME QUERY ... | together COUNT ROUND NAME QUERY\n", stderr);
	return 2;
}
