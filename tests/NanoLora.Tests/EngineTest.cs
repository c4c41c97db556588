using NanoLora;

namespace NanoLora.Tests;

/// <summary>A test that has a backend of its own and loses no block of it: what the test leaves undisposed fails it.</summary>
public abstract class EngineTest : IDisposable
{
    /// <summary>The backend, with two threads.</summary>
    protected CpuBackend Backend { get; } = new(2);

    /// <summary>Its main workspace.</summary>
    protected Workspace Workspace => Backend.Main;

    /// <summary>Looks for lost blocks, then frees the backend.</summary>
    public virtual void Dispose()
    {
        var lost = Backend.LiveBlocks;
        Backend.Dispose();
        Assert.True(lost == 0, $"the test lost {lost} blocks: something was not disposed, or the tape kept it.");
    }

    /// <summary>A parameter that trains.</summary>
    protected Parameter Trained(float[] values, params int[] sizes) => Given(values, trains: true, sizes);

    /// <summary>A frozen parameter.</summary>
    protected Parameter Frozen(float[] values, params int[] sizes) => Given(values, trains: false, sizes);

    private Parameter Given(float[] values, bool trains, int[] sizes)
    {
        using var value = Workspace.From(values, new Shape(sizes));
        return new Parameter(value) { Trains = trains };
    }

    /// <summary>Normal numbers that depend on the seed alone.</summary>
    protected static float[] Normal(int count, ulong seed)
    {
        var random = new Philox(seed, 77);
        var values = new float[count];
        for (var i = 0; i < count; i++) values[i] = random.Normal((ulong)i);
        return values;
    }
}

/// <summary>The same with a folder to write into, which is gone when the test is over.</summary>
public abstract class EngineFileTest : EngineTest
{
    /// <summary>The folder.</summary>
    protected TemporaryFolder Temporary { get; } = new();

    /// <inheritdoc/>
    public override void Dispose()
    {
        Temporary.Dispose();
        base.Dispose();
    }
}
