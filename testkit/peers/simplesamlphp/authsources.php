<?php
$config = [
    'people' => [
        'exampleauth:UserPass',
        'det.ruiz:password' => [
            'uid' => ['det.ruiz'],
            'displayName' => ['Elena Ruiz'],
            'functions' => ['detective'],
        ],
    ],
];
