-- Whose entitlements differ from what was just read (incoming_facts), in the named scopes (0 is the server)?
SELECT
    coalesce(i.account_id, e.account_id) AS account_id,
    coalesce(i.database_id, e.scope) AS scope,
    e.id AS entitlement_id,
    e.facts AS facts_before,
    i.account_id IS NOT NULL AS holds_something_now
FROM incoming_facts AS i
FULL JOIN (
    SELECT id, account_id, coalesce(database_id, 0) AS scope, digest, facts
    FROM entitlements
    WHERE instance_id = %(instance_id)s
      AND valid_to IS NULL
      AND (database_id = ANY (%(scopes)s) OR (database_id IS NULL AND 0 = ANY (%(scopes)s)))
) AS e ON e.account_id = i.account_id AND e.scope = i.database_id
WHERE i.digest IS DISTINCT FROM e.digest
ORDER BY 1, 2
