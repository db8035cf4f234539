<?php
// Debian's configuration with what a test has otherwise. Nothing here is fit for people.
require '/etc/simplesamlphp/config.php';
$folder = getenv('PEER_FOLDER') . '/';
$config = array_merge($config, [
    'baseurlpath' => getenv('PEER_URL') . '/simplesaml/',
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'certdir' => $folder,
    'datadir' => $folder,
    'tempdir' => $folder . 'temporary',
    'loggingdir' => $folder,
    'metadatadir' => $folder . 'metadata',
    'metadata.sources' => [['type' => 'flatfile'], ['type' => 'xml', 'file' => $folder . 'sp.xml']],
    'logging.handler' => 'file',
    'logging.level' => 7,
    'secretsalt' => 'a salt of a test',
    'auth.adminpassword' => 'not used',
    'timezone' => 'UTC',
    'store.type' => 'phpsession',
    'session.phpsession.savepath' => $folder . 'temporary',
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'session.phpsession.httponly' => true,
]);
