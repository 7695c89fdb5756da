-- Who may act as whom, and may pass that on?
SELECT User, Host, Proxied_user, Proxied_host, With_grant
FROM mysql.proxies_priv
ORDER BY Host, User, Proxied_host, Proxied_user
