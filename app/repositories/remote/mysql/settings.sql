-- Which server-wide settings decide what everybody may do and when passwords expire?
SHOW GLOBAL VARIABLES WHERE Variable_name IN (
    'mandatory_roles', 'activate_mandatory_roles', 'activate_all_roles_on_login', 'partial_revokes',
    'default_password_lifetime', 'lower_case_table_names', 'require_secure_transport')
