-- To whom is which role granted, and with the admin option?
SELECT User, Host, Role, Admin_option FROM mysql.roles_mapping ORDER BY Host, User, Role
