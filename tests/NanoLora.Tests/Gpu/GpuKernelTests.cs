namespace NanoLora.Tests.Gpu;

/// <summary>Every kernel compiles for CUDA and for OpenCL without any device, and for NVIDIA's assembler where it is at hand.</summary>
public class GpuKernelTests
{
    public static TheoryData<string> Names => [.. GpuKernels.All.Select(GpuKernels.NameOf)];

    [Fact]
    public void Names_are_file_names_and_unique()
    {
        Assert.Equal(GpuKernels.All.Count, GpuKernels.All.Select(GpuKernels.NameOf).Distinct().Count());
        Assert.All(GpuKernels.All, kernel => Assert.Matches("^[A-Za-z0-9-]+$", GpuKernels.NameOf(kernel)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Compiles_without_a_device(string name)
    {
        var kernel = GpuKernels.All.Single(k => GpuKernels.NameOf(k) == name);
        Assert.Contains(".entry", GpuKernels.ToPtx(kernel), StringComparison.Ordinal);
        Assert.Contains("kernel void", GpuKernels.ToOpenCl(kernel), StringComparison.Ordinal);
    }

    // A sum by atomics would depend on who comes first; and tanh.approx is good to 11 bits.
    [Theory]
    [MemberData(nameof(Names))]
    public void Has_no_atomics_and_no_approximate_tanh(string name)
    {
        var ptx = GpuKernels.ToPtx(GpuKernels.All.Single(k => GpuKernels.NameOf(k) == name));
        Assert.DoesNotContain("atom.", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain("tanh.approx", ptx, StringComparison.Ordinal);
    }

    [Fact]
    public void A_kernel_that_does_not_compile_is_named_and_spoils_nothing()
    {
        var bad = typeof(BadKernels).GetMethod(nameof(BadKernels.ThrowingKernel))!;
        var error = Assert.Throws<GpuException>(() => GpuKernels.ToPtx(bad));
        Assert.Contains("Throwing", error.Message, StringComparison.Ordinal);
        Assert.Contains(".entry", GpuKernels.ToPtx(GpuKernels.All[0]), StringComparison.Ordinal);
    }
}

/// <summary>What ILGPU refuses.</summary>
public static class BadKernels
{
    /// <summary>Kernels have no console.</summary>
    public static void ThrowingKernel(ILGPU.ArrayView<float> x)
    {
        if (x[0] < 0) Console.WriteLine("negative");
    }

    /// <summary>The same, of two arguments.</summary>
    public static void TalkingKernel(ILGPU.ArrayView<float> x, int at)
    {
        if (x[at] < 0) Console.WriteLine("negative");
    }
}
