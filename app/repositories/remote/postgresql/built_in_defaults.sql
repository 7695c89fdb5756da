-- What do an owner (here 10) and PUBLIC (0) hold on an object whose ACL was never touched, by kind of object?
SELECT kind,
       string_agg(x.grantee || '/' || x.grantor || '/' || x.privilege_type, ',')
FROM unnest('{d,t,n,r,s,f,T,l,F,S,L}'::"char"[]
            || '{p}'::"char"[] -- 15+
           ) AS kind, aclexplode(acldefault(kind, 10)) AS x
GROUP BY kind
ORDER BY kind
