-- What does each distinct ACL of the server's own objects say, by oid: grantee/grantor/privilege[*]?
SELECT a.acl,
       (SELECT string_agg(x.grantee || '/' || x.grantor || '/' || x.privilege_type
                          || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ',')
        FROM aclexplode(a.acl || '{}'::aclitem[]) AS x) -- in memory: aclexplode fetches a TOASTed one anew for every row
FROM (SELECT datacl FROM pg_database
      UNION SELECT spcacl FROM pg_tablespace
      UNION SELECT paracl FROM pg_parameter_acl -- 15+
     ) AS a (acl)
WHERE a.acl IS NOT NULL
ORDER BY a.acl::text COLLATE "C"
