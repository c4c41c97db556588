#pragma warning disable CS1591
namespace NanoLora;
internal interface IBlocks { void Run(int block); }
public sealed class Threads(int count) : IDisposable
{
    public int Count { get; } = count;
    internal void For<TJob>(int blocks, TJob job) where TJob : struct, IBlocks { for (var i = 0; i < blocks; i++) job.Run(i); }
    public void Dispose() { }
}
