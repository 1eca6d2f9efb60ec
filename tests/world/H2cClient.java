import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Arrays;

/** The JDK's client as it comes, which offers h2c with cleartext requests; a line for each response. */
public final class H2cClient {
    private static final String ORDER = "{\"item\": \"tea\", \"count\": 3}";
    private static final Duration WAIT = Duration.ofSeconds(30);

    private static HttpClient client = HttpClient.newHttpClient();
    private static URI uri;

    public static void main(String[] arguments) throws Exception {
        uri = URI.create(arguments[0]);
        tell("get", BodyPublishers.noBody(), "GET");
        tell("fixed", BodyPublishers.ofString(ORDER), "POST");
        tell("chunked", stream(ORDER.getBytes("UTF-8")), "POST");
        byte[] large = new byte[1 << 20];
        Arrays.fill(large, (byte) 'x');
        tell("large-fixed", BodyPublishers.ofByteArray(large), "POST");
        tell("large-chunked", stream(large), "POST");
        client = HttpClient.newHttpClient();
        for (int count = 0; count < 10; count++) {
            tell("one-of-ten", BodyPublishers.ofString(ORDER), "POST");
        }
    }

    private static BodyPublisher stream(byte[] content) {
        return BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(content));
    }

    private static void tell(String name, BodyPublisher body, String method) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(uri)
            .timeout(WAIT)
            .header("Content-Type", "application/json")
            .method(method, body)
            .build();
        HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
        System.out.println(name + "\t" + response.version() + "\t" + response.statusCode() + "\t" + response.body().replace("\n", " "));
    }
}
