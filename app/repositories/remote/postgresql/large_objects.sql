-- Which large objects are there, whose are they, and what does each ACL say?
SELECT 'large object', oid, NULL, lomowner, lomacl, false, NULL
FROM pg_largeobject_metadata
ORDER BY oid
