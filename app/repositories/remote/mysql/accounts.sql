-- Who exists, how do they log in, and which static privileges do they hold? Never a password's hash.
SELECT User, Host, plugin, account_locked, password_expired,
       DATE_FORMAT(password_last_changed, '%Y-%m-%dT%H:%i:%sZ'), password_lifetime,
       plugin IN ('mysql_native_password', 'sha256_password', 'caching_sha2_password')
           AND authentication_string = '',
       ssl_type, CAST(ssl_cipher AS CHAR), CAST(x509_issuer AS CHAR), CAST(x509_subject AS CHAR),
       max_questions, max_updates, max_connections, max_user_connections,
       Password_reuse_history, Password_reuse_time, Password_require_current,
       JSON_CONTAINS_PATH(User_attributes, 'one', '$.additional_password'),
       JSON_EXTRACT(User_attributes, '$.Restrictions'),
       JSON_EXTRACT(User_attributes, '$.Password_locking'),
       JSON_EXTRACT(User_attributes, '$.metadata'),
       JSON_EXTRACT(User_attributes, '$.multi_factor_authentication[*].plugin'),
       JSON_KEYS(User_attributes),
       CONCAT('' /* , every privilege column of this version */)
FROM mysql.user
ORDER BY Host, User
