using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace NanoLora;

/// <summary>
/// Compiles kernels at their first use and puts them into the device's stream. A kernel is a static method whose threads find themselves by <c>Grid</c> and
/// <c>Group</c>; it runs in groups of a size that the device allows, a power of two.
/// </summary>
internal sealed class Launcher(GpuDevice device, Accelerator accelerator, Lock gate) : IDisposable
{
    private readonly Dictionary<Delegate, Delegate> _loaded = [];
    private Context? _compiler;
    private MethodInfo? _last;

    /// <summary>Kernels that were asked for.</summary>
    public long Launches { get; private set; }

    /// <summary>Threads of a group where rows or elements are shared out: enough to hide memory on a GPU, few where threads are a loop.</summary>
    public int GroupSize { get; } = LargestPower(Math.Min(device.Kind switch { GpuKind.Interpreter => 2, GpuKind.OpenClCpu => 64, _ => Tree.Most },
        accelerator.MaxNumThreadsPerGroup));

    /// <summary>Whether the tiled kernels fit, which want groups of this size.</summary>
    public bool Allows(int groupSize) => accelerator.MaxNumThreadsPerGroup >= groupSize && device.Kind != GpuKind.Interpreter;

    /// <summary>How many groups keep the device busy.</summary>
    public int Crowd { get; } = Math.Max(1, accelerator.NumMultiprocessors) * (device.Kind is GpuKind.Cuda or GpuKind.OpenCl ? 32 : 4);

    /// <summary>Groups that share <paramref name="count"/> elements out; each thread goes on by the size of the grid.</summary>
    public KernelConfig Elements(int count) => (Math.Clamp((int)(((long)count + GroupSize - 1) / GroupSize), 1, Crowd), GroupSize);

    /// <summary>One group for each of <paramref name="count"/> rows; a smaller one where all threads together would be more than an int counts.</summary>
    public KernelConfig Rows(int count) => (Math.Max(1, count), Math.Min(GroupSize, LargestPower(int.MaxValue / Math.Max(1, count))));

    private static int LargestPower(int most) => 1 << int.Log2(Math.Max(1, most));

    /// <summary>Whether the backend has been disposed.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Before anything is asked of the device: makes it the one that this thread's calls of the driver go to.</summary>
    /// <exception cref="ObjectDisposedException">The backend has been disposed.</exception>
    /// <exception cref="GpuException">The device has failed.</exception>
    public void Enter()
    {
        if (IsClosed) throw new ObjectDisposedException(nameof(GpuBackend), $"{device.Id} was used after its backend was disposed; open a new one.");
        try { accelerator.Bind(); }
        catch (AcceleratorException error) { throw Failed(error); }
    }

    // The first use of a kernel compiles it, in a context apart: one that fails leaves the device's own as it was.
    private TLauncher Loaded<TLauncher>(Delegate kernel) where TLauncher : Delegate
    {
        Enter();
        Launches++;
        var method = _last = kernel.Method;
        if (_loaded.TryGetValue(kernel, out var launcher)) return (TLauncher)launcher;
        try
        {
            var loaded = device.Kind == GpuKind.Interpreter ? accelerator.LoadKernel(method) : accelerator.LoadKernel(Compile(method));
            var made = loaded.CreateLauncherDelegate<TLauncher>();
            _loaded.Add(kernel, made);
            return made;
        }
        catch (Exception error)
        {
            _compiler?.Dispose();
            _compiler = null;
            throw new GpuException($"{device.Id}: the kernel {Describe(method)} does not compile for {device.Name}: {Innermost(error).Message}", error);
        }
    }

    private CompiledKernel Compile(MethodInfo method)
    {
        _compiler ??= GpuContext.CreateForCompiling();
        using ILGPU.Backends.Backend backend = accelerator switch
        {
            CudaAccelerator cuda => new PTXBackend(_compiler, cuda.Capabilities, cuda.Architecture, cuda.InstructionSet, null),
            CLAccelerator cl => new CLBackend(_compiler, cl.Capabilities, cl.Vendor, cl.CLStdVersion),
            _ => throw new InvalidOperationException($"There are no kernels for {accelerator.GetType().Name}."),
        };
        return backend.Compile(EntryPointDescription.FromExplicitlyGroupedKernel(method), KernelSpecialization.Empty);
    }

    /// <summary>What a failure of the device becomes. It shows only when somebody waits, so the kernel named is the last that was asked for.</summary>
    public GpuException Failed(AcceleratorException error) =>
        new($"{device.Id} ({device.Name}) failed: {error.Message}"
            + $"{(_last is null ? "" : $"; the last kernel asked for was {Describe(_last)}")}. Tensors on it are lost; open a new backend.", error);

    private static Exception Innermost(Exception error) => error.InnerException is { } inner ? Innermost(inner) : error;

    private static string Describe(MethodInfo method) =>
        method.IsGenericMethod ? $"{method.Name}<{string.Join(", ", method.GetGenericArguments().Select(static t => t.Name))}>" : method.Name;

    public void Dispose()
    {
        IsClosed = true;
        _compiler?.Dispose();
        _compiler = null;
    }

    // Kernels of two to so many arguments, without boxing one.
    public void Run<T1, T2>(Action<T1, T2> kernel, KernelConfig groups, T1 a1, T2 a2)
        where T1 : struct where T2 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3>(Action<T1, T2, T3> kernel, KernelConfig groups, T1 a1, T2 a2, T3 a3)
        where T1 : struct where T2 : struct where T3 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4>(Action<T1, T2, T3, T4> kernel, KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5>(Action<T1, T2, T3, T4, T5> kernel, KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6>(Action<T1, T2, T3, T4, T5, T6> kernel, KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct where T6 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7>(Action<T1, T2, T3, T4, T5, T6, T7> kernel, KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct where T6 : struct where T7 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7, T8>(Action<T1, T2, T3, T4, T5, T6, T7, T8> kernel,
        KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct where T6 : struct where T7 : struct where T8 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7, T8>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7, a8); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7, T8, T9>(Action<T1, T2, T3, T4, T5, T6, T7, T8, T9> kernel,
        KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct
        where T6 : struct where T7 : struct where T8 : struct where T9 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7, T8, T9>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7, a8, a9); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10>(Action<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10> kernel,
        KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct
        where T6 : struct where T7 : struct where T8 : struct where T9 : struct where T10 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11>(Action<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11> kernel,
        KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct where T6 : struct
        where T7 : struct where T8 : struct where T9 : struct where T10 : struct where T11 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12>(Action<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12> kernel,
        KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct where T6 : struct
        where T7 : struct where T8 : struct where T9 : struct where T10 : struct where T11 : struct where T12 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13>(Action<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13> kernel,
        KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12, T13 a13)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct where T6 : struct where T7 : struct
        where T8 : struct where T9 : struct where T10 : struct where T11 : struct where T12 : struct where T13 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }

    public void Run<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14>(Action<T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14> kernel,
        KernelConfig groups, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8, T9 a9, T10 a10, T11 a11, T12 a12, T13 a13, T14 a14)
        where T1 : struct where T2 : struct where T3 : struct where T4 : struct where T5 : struct where T6 : struct where T7 : struct
        where T8 : struct where T9 : struct where T10 : struct where T11 : struct where T12 : struct where T13 : struct where T14 : struct
    {
        lock (gate)
        {
            var launch = Loaded<Action<AcceleratorStream, KernelConfig, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14>>(kernel);
            try { launch(accelerator.DefaultStream, groups, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14); }
            catch (AcceleratorException error) { throw Failed(error); }
        }
    }
}
