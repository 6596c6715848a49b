-- trustpoint 1.3
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.3'" to load this file. \quit
