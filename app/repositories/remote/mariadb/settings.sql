-- Which server-wide settings decide when passwords expire?
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('default_password_lifetime', 'lower_case_table_names')
