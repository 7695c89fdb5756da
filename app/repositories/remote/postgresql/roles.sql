-- Who exists, and with which attributes? Everybody may read pg_roles; pg_authid would need a superuser.
SELECT oid, rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit,
       rolcanlogin, rolconnlimit, rolvaliduntil
FROM pg_roles
ORDER BY oid
