-- trustpoint 1.2
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.2'" to load this file. \quit
