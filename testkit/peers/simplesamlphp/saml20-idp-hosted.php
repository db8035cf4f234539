<?php
// What a test wants otherwise is in options.json beside the keys.
$options = json_decode(file_get_contents(getenv('PEER_FOLDER') . '/options.json'), true);
$metadata[getenv('PEER_URL') . '/idp'] = array_merge([
    'host' => '__DEFAULT__',
    'auth' => 'people',
    'privatekey' => 'idp.key',
    'certificate' => 'idp.pem',
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'validate.authnrequest' => true,
    'sign.logout' => true,
    'validate.logout' => true,
    'NameIDFormat' => ['urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'],
    'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:basic',
    'authproc' => [
        3 => [
            'class' => 'saml:AttributeNameID',
            'attribute' => 'uid',
            'Format' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
        ],
        90 => [
            'class' => 'saml:AuthnContextClassRef',
            'AuthnContextClassRef' => 'https://refeds.org/profile/mfa',
        ],
    ],
], $options);
