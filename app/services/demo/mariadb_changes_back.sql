-- The demo's MariaDB or MySQL server, the night after: what was done is undone
REVOKE DROP ON shop.* FROM 'web'@'10.0.%';
DROP USER 'contractor'@'%';
CREATE USER 'ftp'@'%';
GRANT FILE ON *.* TO 'ftp'@'%';
