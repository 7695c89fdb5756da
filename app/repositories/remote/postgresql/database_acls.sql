-- What does each distinct ACL inside this database say, by oid: grantee/grantor/privilege[*]?
SELECT a.acl,
       (SELECT string_agg(x.grantee || '/' || x.grantor || '/' || x.privilege_type
                          || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ',')
        FROM aclexplode(a.acl || '{}'::aclitem[]) AS x) -- in memory: aclexplode fetches a TOASTed one anew for every row
FROM (SELECT relacl FROM pg_class
      UNION SELECT proacl FROM pg_proc
      UNION SELECT typacl FROM pg_type
      UNION SELECT nspacl FROM pg_namespace
      UNION SELECT lanacl FROM pg_language
      UNION SELECT fdwacl FROM pg_foreign_data_wrapper
      UNION SELECT srvacl FROM pg_foreign_server
      UNION SELECT lomacl FROM pg_largeobject_metadata
      UNION SELECT defaclacl FROM pg_default_acl
      UNION SELECT initprivs FROM pg_init_privs
      UNION SELECT acldefault('r', 10) || makeaclitem(0, 10, 'SELECT', false) -- information_schema's views,
      UNION SELECT acldefault('n', 10) || makeaclitem(0, 10, 'USAGE', false) -- itself
     ) AS a (acl)
WHERE a.acl IS NOT NULL
ORDER BY a.acl::text COLLATE "C"
