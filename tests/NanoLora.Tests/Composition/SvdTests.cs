using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

public class SvdTests
{
    [Theory]
    [InlineData(7, 7)]
    [InlineData(9, 4)]
    [InlineData(3, 8)]
    [InlineData(1, 5)]
    public void Factors_are_orthonormal_and_give_the_matrix_back(int rows, int columns)
    {
        var a = Matrix(rows, columns, 1);
        var svd = Svd.Of(a, rows, columns);
        Assert.Equal(Math.Min(rows, columns), svd.Count);
        for (var n = 1; n < svd.Count; n++) Assert.True(svd.Values[n - 1] >= svd.Values[n]);
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < columns; j++)
                Assert.Equal(a[i * columns + j], Sum(svd.Count, n => svd.Values[n] * svd.Left[n * rows + i] * svd.Right[n * columns + j]), 1e-13);
        }
        for (var m = 0; m < svd.Count; m++)
        {
            for (var n = 0; n < svd.Count; n++)
            {
                Assert.Equal(m == n ? 1 : 0, Sum(rows, i => svd.Left[m * rows + i] * svd.Left[n * rows + i]), 1e-13);
                Assert.Equal(m == n ? 1 : 0, Sum(columns, j => svd.Right[m * columns + j] * svd.Right[n * columns + j]), 1e-13);
            }
        }
        var again = Svd.Of(a, rows, columns);
        Assert.Equal(svd.Values, again.Values);
        Assert.Equal(svd.Right, again.Right);
    }

    [Fact]
    public void Low_rank_and_equal_values_are_no_trouble()
    {
        double[] u = Matrix(6, 2, 2), v = Matrix(2, 5, 3);
        var a = new double[30];
        for (var i = 0; i < 6; i++) for (var j = 0; j < 5; j++) a[i * 5 + j] = u[i * 2] * v[j] + u[i * 2 + 1] * v[5 + j];
        var svd = Svd.Of(a, 6, 5);
        Assert.True(svd.Values[1] > 1e-3 && svd.Values[2] < 1e-14 * svd.Values[0]);
        Assert.Equal(a.Sum(static x => x * x), svd.Values.Sum(static s => s * s), 1e-12);
        Assert.Equal([3, 3, 3], Svd.Of([0, 3, 0, -3, 0, 0, 0, 0, 3], 3, 3).Values);
        Assert.Equal([0, 0], Svd.Of(new double[4], 2, 2).Values);
        Assert.Throws<ArgumentException>(() => Svd.Of([1, double.NaN], 1, 2));
        Assert.Throws<ArgumentException>(() => Svd.Of([1, 2, 3], 2, 2));
    }

    // Large enough that only the leading part is worked out: values falling by a fifth each, and noise below them.
    [Theory]
    [InlineData(230, 200)]
    [InlineData(200, 230)]
    public void The_leading_part_of_a_large_matrix_is_that_of_all(int rows, int columns)
    {
        const int count = 4;
        double[] a = Array.ConvertAll(Matrix(rows, columns, 4), static x => 0.01 * x), u = Matrix(rows, 20, 5), v = Matrix(20, columns, 6);
        for (var n = 0; n < 20; n++)
            for (var i = 0; i < rows; i++)
                for (var j = 0; j < columns; j++) a[i * columns + j] += Math.Pow(0.8, n) * u[i * 20 + n] * v[n * columns + j];
        var (all, part) = (Svd.Of(a, rows, columns), Svd.Leading(a, rows, columns, count));
        Assert.Equal(count, part.Count);
        for (var n = 0; n < count; n++)
        {
            Assert.Equal(all.Values[n], part.Values[n], 1e-9 * all.Values[0]);
            for (var i = 0; i < rows; i++) Assert.Equal(all.Left[n * rows + i], part.Left[n * rows + i], 1e-7);
            for (var j = 0; j < columns; j++) Assert.Equal(all.Right[n * columns + j], part.Right[n * columns + j], 1e-7);
        }
        Assert.Equal(part.Right, Svd.Leading(a, rows, columns, count).Right);
        Assert.Throws<ArgumentException>(() => Svd.Leading(a, rows, columns, 201));
    }

    private static double[] Matrix(int rows, int columns, ulong seed) => Array.ConvertAll(Tiny.Normal(rows * columns, seed, 1), static x => (double)x);

    private static double Sum(int count, Func<int, double> term)
    {
        var sum = 0.0;
        for (var i = 0; i < count; i++) sum += term(i);
        return sum;
    }
}
