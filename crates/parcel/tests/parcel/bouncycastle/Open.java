// Opens parts with BouncyCastle, as a partner's own program would: Open CERT.pem KEY.pem PART... >ARCHIVE
// A part that does not hold ends it, and nothing of that part is written.

import java.io.FileReader;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.PrivateKey;
import java.security.Security;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.cms.GCMParameters;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSException;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientOperator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientId;
import org.bouncycastle.jcajce.io.CipherInputStream;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.InputAEADDecryptor;

public class Open {
    public static void main(String[] given) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        X509CertificateHolder certificate = (X509CertificateHolder) pem(given[0]);
        PrivateKey key = new JcaPEMKeyConverter().setProvider("BC").getPrivateKey((PrivateKeyInfo) pem(given[1]));
        java.security.cert.X509Certificate ours =
            new JcaX509CertificateConverter().setProvider("BC").getCertificate(certificate);
        boolean rsa = key.getAlgorithm().equals("RSA");
        RecipientId who = rsa ? new JceKeyTransRecipientId(ours) : new JceKeyAgreeRecipientId(ours);
        Recipient how = rsa
            ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider("BC")
            : new KeyAgreeAuthEnvelopedRecipient(key).setProvider("BC");
        for (int at = 2; at < given.length; at++) {
            byte[] part = Files.readAllBytes(Paths.get(given[at]));
            RecipientInformation found = new CMSAuthEnvelopedData(part).getRecipientInfos().get(who);
            if (found == null) {
                throw new IllegalArgumentException("not addressed to this certificate: " + given[at]);
            }
            System.out.write(found.getContent(how));
        }
        System.out.flush();
        System.err.println(Security.getProvider("BC").getInfo());
    }

    /** For key agreement this version has the ready-made class for EnvelopedData only: the content's cipher is ours to name. */
    private static final class KeyAgreeAuthEnvelopedRecipient extends JceKeyAgreeRecipient {
        KeyAgreeAuthEnvelopedRecipient(PrivateKey key) {
            super(key);
        }

        @Override
        public RecipientOperator getRecipientOperator(AlgorithmIdentifier agreement, final AlgorithmIdentifier content,
                SubjectPublicKeyInfo sender, ASN1OctetString material, byte[] wrapped) throws CMSException {
            Key key = extractSecretKey(agreement, content, sender, material, wrapped);
            GCMParameters gcm = GCMParameters.getInstance(content.getParameters());
            final Cipher cipher;
            try {
                cipher = Cipher.getInstance(content.getAlgorithm().getId(), "BC");
                cipher.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(8 * gcm.getIcvLen(), gcm.getNonce()));
            } catch (GeneralSecurityException error) {
                throw new CMSException("no cipher for the content", error);
            }
            return new RecipientOperator(new InputAEADDecryptor() {
                public AlgorithmIdentifier getAlgorithmIdentifier() {
                    return content;
                }

                public InputStream getInputStream(InputStream ciphertextAndTag) {
                    return new CipherInputStream(ciphertextAndTag, cipher);
                }

                public OutputStream getAADStream() {
                    throw new UnsupportedOperationException("a part has no attributes");
                }

                public byte[] getMAC() {
                    throw new UnsupportedOperationException("the cipher compares it");
                }
            });
        }
    }

    private static Object pem(String path) throws Exception {
        try (Reader text = new FileReader(path); PEMParser parser = new PEMParser(text)) {
            return parser.readObject();
        }
    }
}
