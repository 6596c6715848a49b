-- What the example needs: its tables, values, blind indexes, signatures of the CA, and what its pages show of the token.
GRANT SELECT, INSERT, UPDATE, DELETE ON registry_device, registry_certificate, registry_authority TO registry;
SELECT tp_grant('registry', 'encrypt'), tp_grant('registry', 'decrypt'), tp_grant('registry', 'search'),
       tp_grant('registry', 'hsm'), tp_grant_key('example-ca', 'registry', ARRAY['sign']);
