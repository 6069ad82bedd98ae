"""Fill photos without a server: a folder or a bucket, in one or several processes."""
