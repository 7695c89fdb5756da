-- Who exists, how do they log in, and which global privileges (a bit mask) do they hold? Never a password's hash.
SELECT User, Host, JSON_VALUE(Priv, '$.is_role'), JSON_VALUE(Priv, '$.access'),
       JSON_VALUE(Priv, '$.version_id'), JSON_VALUE(Priv, '$.plugin'),
       JSON_EXTRACT(Priv, '$.auth_or[*].plugin'), JSON_EXTRACT(Priv, '$.auth_or[0]') = '{}',
       COALESCE(JSON_VALUE(Priv, '$.plugin'), '') IN ('', 'mysql_native_password', 'ed25519', 'parsec')
           AND COALESCE(JSON_VALUE(Priv, '$.authentication_string'), '') = '',
       JSON_VALUE(Priv, '$.account_locked'), JSON_VALUE(Priv, '$.password_last_changed'),
       JSON_VALUE(Priv, '$.password_lifetime'), JSON_VALUE(Priv, '$.default_role'),
       JSON_VALUE(Priv, '$.ssl_type'), JSON_VALUE(Priv, '$.ssl_cipher'),
       JSON_VALUE(Priv, '$.x509_issuer'), JSON_VALUE(Priv, '$.x509_subject'),
       JSON_VALUE(Priv, '$.max_questions'), JSON_VALUE(Priv, '$.max_updates'),
       JSON_VALUE(Priv, '$.max_connections'), JSON_VALUE(Priv, '$.max_user_connections'),
       JSON_VALUE(Priv, '$.max_statement_time'), JSON_EXTRACT(Priv, '$.denies'), JSON_KEYS(Priv)
FROM mysql.global_priv
ORDER BY Host, User
