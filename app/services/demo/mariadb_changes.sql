-- What happens on the demo's MariaDB or MySQL server overnight
GRANT DROP ON shop.* TO 'web'@'10.0.%';
CREATE USER 'contractor'@'%';
GRANT SELECT ON *.* TO 'contractor'@'%';
DROP USER 'ftp'@'%';
