-- What the example needs: its tables, values, blind indexes, signatures of the CA, and what its pages show of the token.
GRANT SELECT, INSERT, UPDATE, DELETE ON registry_device, registry_certificate, registry_authority TO registry;
GRANT USAGE ON registry_device_id_seq, registry_certificate_id_seq, registry_authority_id_seq TO registry;
GRANT SELECT ON django_migrations TO registry;  -- its development server looks whether one is missing
SELECT tp_grant('registry', 'encrypt'), tp_grant('registry', 'decrypt'), tp_grant('registry', 'search'),
       tp_grant('registry', 'hsm'), tp_grant_key('example-ca', 'registry', ARRAY['sign']);
