-- trustpoint 1.1
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.1'" to load this file. \quit
