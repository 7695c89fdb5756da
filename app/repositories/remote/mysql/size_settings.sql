-- Which files hold what belongs to no table, how big may they get, and how are names compared?
SHOW GLOBAL VARIABLES WHERE Variable_name IN (
    'datadir', 'innodb_data_file_path', 'innodb_temp_data_file_path', 'lower_case_table_names',
    'partial_revokes')
