// Makes composite_bouncycastle.json: signatures by Bouncy Castle, to be verified by hub/trust/composite.py.
// Run by hand, with bcprov-jdk18on, bcutil-jdk18on and bcpkix-jdk18on 1.87 on the class path:
//   java -cp ... ComposeVectors.java > out.json
//   java -cp ... ComposeVectors.java PUBLIC CONTEXT MESSAGE SIGNATURE    (hex: says whether Bouncy Castle takes ours)

import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.Security;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.HexFormat;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.jcajce.spec.ContextParameterSpec;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

public class ComposeVectors {
    private static final String ALGORITHM = "MLDSA65-Ed25519-SHA512";
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        KeyPair pair = KeyPairGenerator.getInstance(ALGORITHM, "BC").generateKeyPair();
        SubjectPublicKeyInfo info = SubjectPublicKeyInfo.getInstance(pair.getPublic().getEncoded());
        if (arguments.length == 4) {
            SubjectPublicKeyInfo ours = new SubjectPublicKeyInfo(info.getAlgorithm(), HEX.parseHex(arguments[0]));
            PublicKey key = KeyFactory.getInstance(ALGORITHM, "BC").generatePublic(new X509EncodedKeySpec(ours.getEncoded()));
            Signature verifier = Signature.getInstance(ALGORITHM, "BC");
            verifier.initVerify(key);
            verifier.setParameter(new ContextParameterSpec(HEX.parseHex(arguments[1])));
            verifier.update(HEX.parseHex(arguments[2]));
            System.out.println(verifier.verify(HEX.parseHex(arguments[3])));
            return;
        }
        byte[] seed = PrivateKeyInfo.getInstance(pair.getPrivate().getEncoded()).getPrivateKey().getOctets();
        String[][] cases = {
            {"a flush", "cgi-hub/v1/flush", "a flush"},
            {"empty message", "k", ""},
            {"longest context", "x".repeat(255), "The longest context"},
        };
        StringBuilder out = new StringBuilder();
        for (String[] one : cases) {
            Signature signer = Signature.getInstance(ALGORITHM, "BC");
            signer.initSign(pair.getPrivate());
            signer.setParameter(new ContextParameterSpec(one[1].getBytes()));
            signer.update(one[2].getBytes());
            out.append(out.length() == 0 ? "" : ",")
                .append(String.format("{\"name\":\"%s\",\"context\":\"%s\",\"message\":\"%s\",\"signature\":\"%s\"}",
                    one[0], HEX.formatHex(one[1].getBytes()), HEX.formatHex(one[2].getBytes()), HEX.formatHex(signer.sign())));
        }
        System.out.printf("{\"seed\":\"%s\",\"public\":\"%s\",\"cases\":[%s]}%n",
            HEX.formatHex(seed), HEX.formatHex(info.getPublicKeyData().getOctets()), out);
    }
}
