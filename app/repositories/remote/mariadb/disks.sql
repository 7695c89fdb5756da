-- How full are the file systems of the server? (needs the plugin DISKS, and FILE)
SELECT Disk, Path, Total * 1024, Used * 1024, Available * 1024 FROM information_schema.DISKS
