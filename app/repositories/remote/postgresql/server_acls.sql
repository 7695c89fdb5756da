-- What does each distinct ACL of the server's own objects say, by oid: grantee/grantor/privilege[*]?
SELECT a.acl,
       string_agg(x.grantee || '/' || x.grantor || '/' || x.privilege_type
                  || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ',')
FROM (SELECT datacl FROM pg_database
      UNION SELECT spcacl FROM pg_tablespace
      UNION SELECT paracl FROM pg_parameter_acl -- 15+
     ) AS a (acl), aclexplode(a.acl) AS x
GROUP BY a.acl
ORDER BY a.acl::text COLLATE "C"
