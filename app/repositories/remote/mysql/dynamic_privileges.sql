-- Who holds which dynamic privilege, and may pass it on?
SELECT USER, HOST, PRIV, WITH_GRANT_OPTION FROM mysql.global_grants ORDER BY USER, HOST, PRIV
