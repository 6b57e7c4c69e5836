package carbon;

import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.FilterConfig;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Set;

/**
 * The login of Spark's pages: HTTP Basic, user carbon, the password in the file that the parameter passwordFile names.
 * The master, the workers, the history server and the sessions' own pages run it in front of all that they serve
 * (spark.ui.filters). A master that passes a request on (spark.ui.reverseProxy) passes its login on, too.
 *
 * <p>A browser that is logged in sends the login with what a foreign page asks of it. So such a request may open a page,
 * as a link does, and nothing else.
 */
public final class SparkLogin implements Filter {
    private byte[] login;

    @Override
    public void init(FilterConfig config) throws ServletException {
        try {
            String password = Files.readString(Path.of(config.getInitParameter("passwordFile"))).strip();
            if (password.isEmpty()) {
                throw new ServletException("the password of Spark's pages is empty");
            }
            login = ("carbon:" + password).getBytes(StandardCharsets.UTF_8);
        } catch (IOException error) {
            throw new ServletException("the password of Spark's pages cannot be read", error);
        }
    }

    @Override
    public void doFilter(ServletRequest plainRequest, ServletResponse plainResponse, FilterChain chain)
            throws IOException, ServletException {
        HttpServletRequest request = (HttpServletRequest) plainRequest;
        HttpServletResponse response = (HttpServletResponse) plainResponse;
        if (!MessageDigest.isEqual(given(request.getHeader("Authorization")), login)) {
            response.setHeader("WWW-Authenticate", "Basic realm=\"Carbon Spark (./carbon credentials)\", charset=\"UTF-8\"");
            refuse(response, HttpServletResponse.SC_UNAUTHORIZED, "Spark's pages need a login: ./carbon credentials");
        } else if (!isOwn(request) && !opensPage(request)) {
            refuse(response, HttpServletResponse.SC_FORBIDDEN, "Another site's page may not ask for this.");
        } else {
            chain.doFilter(request, response);
        }
    }

    private static byte[] given(String authorization) {
        if (authorization == null || !authorization.regionMatches(true, 0, "Basic ", 0, 6)) {
            return new byte[0];
        }
        try {
            return Base64.getDecoder().decode(authorization.substring(6).strip());
        } catch (IllegalArgumentException error) {
            return new byte[0];
        }
    }

    /**
     * Whether the request comes from one of these pages, from the user's address bar, or from a program that is no
     * browser. Browsers leave Sec-Fetch-Site out where they speak HTTP to another machine than their own.
     */
    private static boolean isOwn(HttpServletRequest request) {
        String site = request.getHeader("Sec-Fetch-Site");
        if (site != null) {
            return Set.of("same-origin", "none").contains(site);
        }
        String origin = request.getHeader("Origin");
        return origin == null || isOwnHost(request, origin);
    }

    /** Whether an origin is the host that the client spoke to: this one, or the master that passed the request on. */
    private static boolean isOwnHost(HttpServletRequest request, String origin) {
        return origin.endsWith("://" + request.getHeader("Host"))
                || origin.endsWith("://" + request.getHeader("X-Forwarded-Host"));
    }

    /** Whether the browser opens a page in a tab, as it does for a link. Spark ends jobs and stages by GET, too. */
    private static boolean opensPage(HttpServletRequest request) {
        return "GET".equals(request.getMethod())
                && "document".equals(request.getHeader("Sec-Fetch-Dest"))
                && !request.getRequestURI().contains("kill");
    }

    private static void refuse(HttpServletResponse response, int status, String reason) throws IOException {
        response.setStatus(status);
        response.setContentType("text/plain;charset=utf-8");
        response.getWriter().println(reason);
    }
}
