-- Which role was granted to whom, by whom, and how far does it reach?
SELECT member, roleid, grantor, admin_option
     , inherit_option, set_option -- 16+
FROM pg_auth_members
ORDER BY member, roleid, grantor
