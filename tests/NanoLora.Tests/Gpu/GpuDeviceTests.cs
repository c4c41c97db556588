using NanoLora.Data;
using NanoLora.Experiments;
using NanoLora.Models;

namespace NanoLora.Tests.Gpu;

/// <summary>A theory for each row of the op table on a real device; without one it is skipped.</summary>
public sealed class DeviceTheoryAttribute : TheoryAttribute
{
    /// <summary>Looks for a device.</summary>
    public DeviceTheoryAttribute() => Skip = DeviceFactAttribute.Reason;
}

/// <summary>A test on a real device; without one it is skipped.</summary>
public sealed class DeviceFactAttribute : FactAttribute
{
    /// <summary>Why there is nothing to test on, or null.</summary>
    public static string? Reason { get; } = GpuDevice.All().Count > 0 ? null : "no device of CUDA or OpenCL on this machine";

    /// <summary>Looks for a device.</summary>
    public DeviceFactAttribute() => Skip = Reason;
}

/// <summary>One backend for the tests of a class: a context costs a second.</summary>
public sealed class DeviceFixture : IDisposable
{
    private readonly Lazy<GpuBackend> _backend = new(static () => new GpuBackend());

    /// <summary>The best device.</summary>
    public GpuBackend Backend => _backend.Value;

    /// <summary>Looks for lost blocks.</summary>
    public void Dispose()
    {
        if (!_backend.IsValueCreated) return;
        var lost = Backend.LiveBlocks;
        Backend.Dispose();
        Assert.Equal(0, lost);
    }
}

/// <summary>What the op table promises, on the best device of the machine.</summary>
[Trait("Needs", "device")]
public class GpuDeviceTests(DeviceFixture fixture) : IClassFixture<DeviceFixture>
{
    public static TheoryData<string> Rows => [.. OpTable.Rows.Select(static row => row.Name)];

    [DeviceTheory]
    [MemberData(nameof(Rows))]
    public void Operation_agrees_with_the_reference(string name)
    {
        var finding = DeviceCheck.Op(OpTable.Row(name), fixture.Backend);
        Assert.True(finding.Ok, $"{finding.Name}: {finding.Found}");
    }

    [DeviceTheory]
    [MemberData(nameof(Rows))]
    public void Operation_gives_the_same_bits_again(string name)
    {
        var row = OpTable.Row(name);
        var shapes = row.Shapes[^1];
        var values = row.Fill(shapes);
        var dy = row.HasGradient ? row.On(fixture.Backend, shapes, values, null).Values : null;
        var (first, second) = (row.On(fixture.Backend, shapes, values, dy), row.On(fixture.Backend, shapes, values, dy));
        Assert.Equal(first.Values, second.Values);
        for (var n = 0; n < values.Length; n++) Assert.Equal(first.Gradients[n], second.Gradients[n]);
    }

    // The loss of every step, of full fine-tuning, LoRA and learned composition on the bundled model.
    [DeviceFact]
    public void Training_agrees_with_the_processor()
    {
        var models = Path.Combine(RepositoryRoot.Folder, "models");
        var vit = StudyBase.Of(Path.Combine(models, "nano-vit"));
        var modules = Directory.GetDirectories(Path.Combine(models, "nano-vit", "modules")).Order(StringComparer.Ordinal).ToList();
        var task = vit.Fit(vit.ReadFile(Path.Combine(models, "tasks", "balinese.safetensors")));
        var findings = DeviceCheck.Training(fixture.Backend, new ArmKit(vit, modules), task, steps: 50);
        Assert.All(findings, static finding => Assert.True(finding.Ok, $"{finding.Name}: {finding.Found}"));
    }

    [DeviceFact]
    public void Kernels_of_the_ladder_agree()
    {
        var (m, n, k) = (77, 65, 83);
        var numbers = new Philox(5, 1);
        float[] Fill(int count, ulong at) => [.. Enumerable.Range(0, count).Select(i => numbers.Normal(at + (ulong)i))];
        var (a, b) = (Fill(m * k, 0), Fill(k * n, 100_000));
        using var scope = fixture.Backend.Scope(grad: false);
        var (x, w) = (fixture.Backend.Main.From(a, new Shape(m, k)), fixture.Backend.Main.From(b, new Shape(k, n)));
        var want = x.MatMul(w).ToArray();
        foreach (var rung in Enum.GetValues<MatMulRung>())
        {
            var y = fixture.Backend.Main.New(new Shape(m, n));
            fixture.Backend.MatMul(x, w, y, rung);
            var got = y.ToArray();
            for (var i = 0; i < got.Length; i++) Assert.True(Math.Abs(got[i] - want[i]) < 2e-5, $"{rung}, element {i}: {got[i]} and {want[i]}");
        }
    }

    [DeviceFact]
    public void Tensors_of_two_backends_do_not_mix()
    {
        using var cpu = new CpuBackend(1);
        using var one = cpu.Main.From([1f, 2f], new Shape(2));
        using var scope = fixture.Backend.Scope(grad: false);
        var two = fixture.Backend.Main.From([1f, 2f], new Shape(2));
        var error = Assert.Throws<InvalidOperationException>(() => two + one);
        Assert.Contains("cpu", error.Message, StringComparison.Ordinal);
        Assert.Contains(fixture.Backend.Name, error.Message, StringComparison.Ordinal);
    }

    [DeviceFact]
    public void More_memory_than_there_is_is_refused_with_numbers()
    {
        var error = Assert.Throws<DeviceMemoryException>(() => fixture.Backend.Allocate(1L << 44));
        Assert.Contains("bytes", error.Message, StringComparison.Ordinal);
        using var x = fixture.Backend.Main.From([1f], new Shape(1));
        Assert.Equal(1, x.Item());
    }

    [DeviceFact]
    public void Blocks_are_used_again()
    {
        long reserved = 0;
        for (var i = 0; i < 4; i++)
        {
            using var scope = fixture.Backend.Scope(grad: false);
            var x = fixture.Backend.Main.Zeros(new Shape(1000, 100));
            (x + x).Softmax().Sum().Item();
            if (i == 0) reserved = fixture.Backend.ReservedBytes;
        }
        Assert.Equal(reserved, fixture.Backend.ReservedBytes);
    }

    [DeviceFact]
    public void Ids_are_checked_after_a_kernel_has_made_them()
    {
        using var scope = fixture.Backend.Scope(grad: false);
        var table = fixture.Backend.Main.From([1f, 2f, 3f, 4f], new Shape(2, 2));
        var x = fixture.Backend.Main.From([0f, 5f, 1f, 0f, 0f, 9f], new Shape(2, 3));
        var error = Assert.Throws<ArgumentException>(() => table.Embedding(x.ArgMax(1)));
        Assert.Contains("id 2", error.Message, StringComparison.Ordinal);
    }
}

/// <summary>The op table at tiny shapes on ILGPU's interpreter, which checks every access: a place outside of a tensor ends the test.</summary>
public class GpuInterpreterTests
{
    [Fact]
    public void Operations_agree_with_the_reference()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        Assert.All(DeviceCheck.Ops(backend, most: 400), static finding => Assert.True(finding.Ok, $"{finding.Name}: {finding.Found}"));
        Assert.Equal(0, backend.LiveBlocks);
    }

    [Fact]
    public void An_unknown_device_is_refused_with_what_there_is()
    {
        var error = Assert.Throws<GpuException>(() => GpuDevice.Find("no such card"));
        Assert.Contains("no such card", error.Message, StringComparison.Ordinal);
        Assert.Contains("libcuda.so.1", error.Message, StringComparison.Ordinal);
    }
}
