-- To whom is which role granted, and with the admin option?
SELECT TO_USER, TO_HOST, FROM_USER, FROM_HOST, WITH_ADMIN_OPTION
FROM mysql.role_edges
ORDER BY FROM_HOST, FROM_USER, TO_HOST, TO_USER
