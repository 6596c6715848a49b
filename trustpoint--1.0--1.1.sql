-- trustpoint 1.1: tokens and keys from SQL
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.1'" to load this file. \quit
