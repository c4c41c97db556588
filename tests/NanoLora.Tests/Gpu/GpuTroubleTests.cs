using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Tests.Gpu;

/// <summary>What a device's backend does when something goes wrong, and that it waits for the device only where it must. On ILGPU's interpreter.</summary>
public class GpuTroubleTests
{
    [Fact]
    public void A_step_waits_for_the_device_only_to_read_the_loss()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        var main = backend.Main;
        using var values = main.From([0.1f, 0.2f, -0.3f, 0.4f, 0.5f, 0.6f], new Shape(3, 2));
        using var w = new Parameter(values) { Trains = true };
        using Tensor x = main.From([1f, 2f, 3f, 4f], new Shape(2, 2)), targets = main.From([0, 2], new Shape(2)),
            weights = main.From([1f, 2f, 3f], new Shape(3));
        for (var step = 0; step < 3; step++)
        {
            var before = backend.Waits;
            using var scope = backend.Scope();
            var loss = x.Linear(w).CrossEntropy(targets, smoothing: 0.1f, weight: weights);
            loss.Backward();
            Assert.Equal(before, backend.Waits);
            Assert.True(float.IsFinite(loss.Item()));
            Assert.Equal(before + 1, backend.Waits);
            w.ClearGradient();
        }
    }

    [Fact]
    public void A_step_of_a_model_waits_once()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        var config = new VitConfig
        {
            ImageSize = 4, PatchSize = 2, Channels = 1, HiddenSize = 4, Layers = 1, Heads = 2, IntermediateSize = 4, Labels = ["a", "b"],
        };
        using Tensor images = backend.Main.Zeros(new Shape(1, 1, 4, 4)), labels = backend.Main.From([1], new Shape(1));
        foreach (var full in (bool[])[true, false])
        {
            using var vit = Vit.Create(config, backend, seed: 1);
            using var module = full ? null : Attach.Lora(vit, "*.attn.(q|v)", rank: 2, seed: 1);
            if (full) vit.Train();
            vit.Head!.Train();
            using var optimiser = new AdamW([.. vit.Trained().Select(static p => new Trained(p.Value, p.Key, 1e-3, 0.01))]);
            for (var step = 1; step <= 2; step++)
            {
                var before = backend.Waits;
                using var scope = backend.Scope();
                var loss = vit.Forward(images).CrossEntropy(labels);
                loss.Backward();
                loss.Item();
                optimiser.Step(1);
                optimiser.ClearGradients();
                Assert.Equal(before + 1, backend.Waits);
            }
        }
    }

    [Fact]
    public void Class_weights_that_a_kernel_has_made_are_read_back()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        using var scope = backend.Scope(grad: false);
        var (x, targets) = (backend.Main.From([1f, 2f, 3f, 4f, 5f, 7f], new Shape(2, 3)), backend.Main.From([0, 2], new Shape(2)));
        var weights = backend.Main.From([1f, 2f, 3f], new Shape(3));
        var want = x.CrossEntropy(targets, weight: backend.Main.From([2f, 4f, 6f], new Shape(3))).Item();
        Assert.Equal(want, x.CrossEntropy(targets, weight: weights + weights).Item());
        backend.Copy(weights + weights, weights);
        Assert.Equal(want, x.CrossEntropy(targets, weight: weights).Item());
    }

    [Fact]
    public void Disposed_twice_it_says_so_when_used()
    {
        var backend = new GpuBackend(GpuDevice.Interpreter);
        var (x, y) = (backend.Main.From([1f, 2f], new Shape(2)), backend.Main.From([3f], new Shape(1)));
        backend.Dispose();
        backend.Dispose();
        foreach (var use in (Action[])[() => x.ToArray(), () => x.Silu(), () => backend.Allocate(4), () => backend.Copy(x, x), backend.Synchronize,
            () => backend.Upload<float>([1, 2], x)])
        {
            var error = Assert.Throws<ObjectDisposedException>(use);
            Assert.Contains(backend.Name, error.Message, StringComparison.Ordinal);
        }
        x.Dispose();
        y.Dispose();
        Assert.Equal(0, backend.LiveBlocks);
    }

    [Fact]
    public void Two_backends_work_side_by_side_and_do_not_mix()
    {
        using var one = new GpuBackend(GpuDevice.Interpreter);
        using var other = new GpuBackend(GpuDevice.Interpreter);
        using (one.Scope(grad: false))
        using (other.Scope(grad: false))
        {
            var (x, y) = (one.Main.From([1f, 2f], new Shape(2)), other.Main.From([3f, 4f], new Shape(2)));
            for (var i = 0; i < 3; i++) (x, y) = (x + x, y + y);
            Assert.Equal([8f, 16f], x.ToArray());
            Assert.Equal([24f, 32f], y.ToArray());
            Assert.Throws<InvalidOperationException>(() => x + y);
            Assert.Throws<InvalidOperationException>(() => one.Copy(x, y));
        }
        Assert.Equal((0, 0), (one.LiveBlocks, other.LiveBlocks));
        other.Dispose();
        using var z = one.Main.From([5f], new Shape(1));
        Assert.Equal(5, z.Item());
    }

    [Fact]
    public void An_operation_that_is_refused_loses_no_block()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        using var cpu = new CpuBackend(1);
        using Tensor x = backend.Main.From(new float[6], new Shape(2, 3)), foreign = cpu.Main.From(new float[6], new Shape(2, 3));
        using Tensor rows = cpu.Main.From(new float[12], new Shape(4, 3)), gain = cpu.Main.From(new float[3], new Shape(3));
        for (var i = 0; i < 3; i++)
        {
            using var scope = backend.Scope();
            Assert.Throws<InvalidOperationException>(() => x * foreign);
            Assert.Throws<InvalidOperationException>(() => x.Linear(rows));
            Assert.Throws<InvalidOperationException>(() => x.LayerNorm(gain, null));
        }
        Assert.Equal(1, backend.LiveBlocks);
    }

    [Fact]
    public void Copies_of_another_size_are_refused()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        using var scope = backend.Scope(grad: false);
        var (x, y) = (backend.Main.From([1f, 2f], new Shape(2)), backend.Main.From([1f, 2f, 3f], new Shape(3)));
        Assert.Contains("12 bytes", Assert.Throws<ArgumentException>(() => backend.Upload<float>([1, 2, 3], x)).Message, StringComparison.Ordinal);
        Assert.Contains("4 bytes", Assert.Throws<ArgumentException>(() => backend.Download<float>(x, new float[1])).Message, StringComparison.Ordinal);
        Assert.Contains("[3]", Assert.Throws<ArgumentException>(() => backend.Copy(x, y)).Message, StringComparison.Ordinal);
        Assert.Equal([1f, 2f], x.ToArray());
    }

    [Fact]
    public void A_device_that_has_failed_is_not_taken_for_one_without_memory()
    {
        Assert.True(GpuPool.IsLackOfMemory(nameof(CudaError.CUDA_ERROR_OUT_OF_MEMORY)));
        Assert.True(GpuPool.IsLackOfMemory(CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE));
        Assert.False(GpuPool.IsLackOfMemory(nameof(CudaError.CUDA_ERROR_ILLEGAL_ADDRESS)));
        Assert.False(GpuPool.IsLackOfMemory(CLError.CL_INVALID_COMMAND_QUEUE));
    }

    [Fact]
    public void More_bytes_than_any_block_has_are_refused()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        Assert.Contains("bytes", Assert.Throws<DeviceMemoryException>(() => backend.Allocate(1L << 60)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void As_many_elements_as_there_may_be_are_shared_out()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        Assert.Equal(backend.Launcher.Crowd, backend.Launcher.Elements(int.MaxValue).GridDim.X);
        Assert.Equal((int.MaxValue, 1), (backend.Launcher.Rows(int.MaxValue).GridDim.X, backend.Launcher.Rows(int.MaxValue).GroupDim.X));
        var shape = new MatMulShape(int.MaxValue, 1, 1, 1, false, 1, false, 1, accumulate: false);
        Assert.Equal(1 << 24, shape.Tiles(128));
    }

    [Fact]
    public void Elements_of_sixteen_bits_move()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        using var scope = backend.Scope(grad: false);
        foreach (var type in (DType[])[DType.BF16, DType.F8E4M3])
        {
            var x = backend.Main.From([1f, 2f, 3f, 4f, 5f, 6f], new Shape(2, 3)).Cast(type);
            Assert.Equal([2f, 3f, 5f, 6f], x.Slice(1, 1, 3).Cast(DType.F32).ToArray());
            Assert.Equal([1f, 2f, 3f, 3f, 4f, 5f, 6f, 6f], Tensor.Concat(1, x, x.Slice(1, 2, 3)).Cast(DType.F32).ToArray());
        }
    }

    // Maxima that rise, fall, and come late to a thread; classes that are ruled out, also the first that a thread sees.
    [Theory]
    [InlineData(0f, false)]
    [InlineData(0.2f, false)]
    [InlineData(0.2f, true)]
    public void Cross_entropy_in_one_pass_is_the_processors(float smoothing, bool weighted)
    {
        const float none = float.NegativeInfinity;
        float[] ruledOut = smoothing == 0 ? [none, none, 3, none, none, -2, 1] : [-90, -1e4f, 3, -1e3f, -80, -2, 1];
        float[] logits = [-100, 0, 100, 200, -300, 250, 1, 5, 4, 3, 2, 1, 0, -1, .. ruledOut, 1e3f, 1e3f, 0, 0, -1e3f, 0, 0];
        using var cpu = new CpuBackend(1);
        using var device = new GpuBackend(GpuDevice.Interpreter);
        var (want, got) = (Run(cpu), Run(device));
        for (var i = 0; i < want.Length; i++) Assert.True(Math.Abs(got[i] - want[i]) <= 2e-6 * Math.Max(1, Math.Abs(want[i])), $"{i}: {got[i]}, not {want[i]}");

        float[] Run(Backend backend)
        {
            using var scope = backend.Scope();
            using var x = new Parameter(backend.Main.From(logits, new Shape(4, 7))) { Trains = true };
            var weight = weighted ? backend.Main.From([1f, 2f, 0.5f, 1f, 3f, 1f, 0f], new Shape(7)) : null;
            var loss = x.Value.CrossEntropy(backend.Main.From([3, 0, 2, 1], new Shape(4)), Reduction.Sum, smoothing: smoothing, weight: weight);
            loss.Backward();
            return [loss.Item(), .. x.Gradient!.ToArray()];
        }
    }
}

/// <summary>The same, where it wants a device of its own kind: a stream that runs behind the host's back, and a compiler.</summary>
[Trait("Needs", "device")]
public class GpuDeviceTroubleTests(DeviceFixture fixture) : IClassFixture<DeviceFixture>
{
    [DeviceFact]
    public void Blocks_let_go_while_kernels_still_read_them_are_not_overwritten_too_soon()
    {
        var backend = fixture.Backend;
        using var scope = backend.Scope(grad: false);
        var x = backend.Main.From([.. Enumerable.Range(0, 1 << 16).Select(static i => (float)(i % 7))], new Shape(1 << 16));
        var sum = backend.Main.Zeros(x.Shape);
        var reserved = 0L;
        for (var i = 0; i < 200; i++)
        {
            using (backend.Scope(grad: false)) backend.AddInto(x.Scale(i), sum);               // the block of x i is free before its kernel has run
            if (i == 0) reserved = backend.ReservedBytes;
        }
        Assert.Equal(reserved, backend.ReservedBytes);
        var got = sum.ToArray();
        for (var i = 0; i < got.Length; i++) Assert.Equal(19900f * (i % 7), got[i]);
    }

    [DeviceFact]
    public void A_kernel_that_does_not_compile_is_named_and_others_run_after_it()
    {
        var backend = fixture.Backend;
        using var x = backend.Main.From([1f, 2f], new Shape(2));
        var view = ((GpuStorage)x.Storage).Buffer.AsRawArrayView(0, 8).Cast<float>();
        for (var i = 0; i < 2; i++)
        {
            var error = Assert.Throws<GpuException>(() => backend.Launcher.Run(BadKernels.TalkingKernel, (1, 1), view, 1));
            Assert.Contains(nameof(BadKernels.TalkingKernel), error.Message, StringComparison.Ordinal);
            Assert.Contains(backend.Name, error.Message, StringComparison.Ordinal);
        }
        using var y = x.Sigmoid();
        Assert.Equal(0.880797f, y.ToArray()[1], 1e-5f);
    }

    [DeviceFact]
    public void Two_backends_of_one_device_work_side_by_side()
    {
        using var other = new GpuBackend(fixture.Backend.Device);
        using (fixture.Backend.Scope(grad: false))
        using (other.Scope(grad: false))
        {
            var (x, y) = (fixture.Backend.Main.From([1f, 2f], new Shape(2)), other.Main.From([3f, 4f], new Shape(2)));
            for (var i = 0; i < 3; i++) (x, y) = (x + x, y + y);
            Assert.Equal([8f, 16f], x.ToArray());
            Assert.Equal([24f, 32f], y.ToArray());
            Assert.Throws<InvalidOperationException>(() => x + y);
        }
    }
}
