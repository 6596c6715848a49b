-- trustpoint 1.2: the life of a key
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.2'" to load this file. \quit
