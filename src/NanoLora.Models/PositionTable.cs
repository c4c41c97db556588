namespace NanoLora.Models;

// Bicubic resampling of a table of positions, [rows columns, D], to another grid: a constant matrix times the table, so that gradients flow to it.
// The matrix is the Kronecker product of one for rows and one for columns. For output i, n inputs and m outputs, r = n / m:
//     centre c = (i + ½) r - ½,   weight of input j = k((j - c) / s),   k the cubic convolution kernel (Keys 1981)
//     plain:      s = 1, a = -0.75, taps ⌊c⌋ - 1 .. ⌊c⌋ + 2, taps beyond the edge read the edge
//     antialias:  s = max(1, r), a = -0.5, taps within 2 s of c, those beyond the edge left out and the rest divided by their sum

/// <summary>Position tables for other image sizes.</summary>
internal static class PositionTable
{
    /// <summary>The matrix [m, n] of a whole grid, where m and n are the numbers of patches there and here.</summary>
    public static Tensor Matrix(Workspace workspace, (int Rows, int Columns) from, (int Rows, int Columns) to, bool antialias)
    {
        var rows = Axis(from.Rows, to.Rows, antialias);
        var columns = Axis(from.Columns, to.Columns, antialias);
        int m = checked(to.Rows * to.Columns), n = from.Rows * from.Columns;
        var w = new float[checked(m * n)];
        for (var i = 0; i < m; i++)
        {
            var (y, x) = (rows[i / to.Columns], columns[i % to.Columns]);
            for (var j = 0; j < n; j++) w[i * n + j] = (float)(y[j / from.Columns] * x[j % from.Columns]);
        }
        return workspace.From(w, new Shape(m, n));
    }

    private static double[][] Axis(int n, int m, bool antialias)
    {
        var weights = new double[m][];
        var ratio = (double)n / m;
        for (var i = 0; i < m; i++)
        {
            var centre = (i + 0.5) * ratio - 0.5;
            weights[i] = antialias ? Antialiased(n, centre, Math.Max(1, ratio)) : Plain(n, centre);
        }
        return weights;
    }

    private static double[] Plain(int n, double centre)
    {
        var w = new double[n];
        var first = (int)Math.Floor(centre) - 1;
        for (var j = first; j < first + 4; j++) w[Math.Clamp(j, 0, n - 1)] += Kernel(j - centre, -0.75);
        return w;
    }

    private static double[] Antialiased(int n, double centre, double scale)
    {
        var w = new double[n];
        var sum = 0.0;
        for (var j = 0; j < n; j++) sum += w[j] = Kernel((j - centre) / scale, -0.5);
        for (var j = 0; j < n; j++) w[j] /= sum;
        return w;
    }

    // k(x) = (a + 2)|x|³ - (a + 3)|x|² + 1 to 1, a|x|³ - 5a|x|² + 8a|x| - 4a to 2, 0 beyond
    private static double Kernel(double x, double a)
    {
        x = Math.Abs(x);
        return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
    }
}
